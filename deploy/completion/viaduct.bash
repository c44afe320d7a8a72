# Completion of viaduct's command line for bash: source this file, or install it as
# /usr/share/bash-completion/completions/viaduct. What can be typed is the program's to say.
_viaduct() {
    local line candidates
    COMPREPLY=()
    mapfile -t candidates < <("${COMP_WORDS[0]}" complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    for line in "${candidates[@]}"; do
        if [ "$line" = :files ]; then
            compopt -o filenames 2>/dev/null
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
        else
            COMPREPLY+=("$(printf '%q' "${line%%$'\t'*}")")
        fi
    done
}
complete -F _viaduct viaduct
