/* SPDX-License-Identifier: MIT
 *
 * vm_config.c - a VM's configuration from a request: checked, completed, and nothing in it that was
 * not asked for.
 */
#include "node/svc/svc.h"
#include "node/svc/nic.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define MIN_MEMORY_BYTES  (16LL << 20)
#define MAX_MEMORY_BYTES  (256LL << 30)
#define MEMORY_UNIT_BYTES (2LL << 20)
#define MAX_VPS           64
#define MAX_CMDLINE_LEN   1023
#define MAX_PATH_LEN      1023
#define MAX_SERIAL_LEN    36
#define DISK_ID_BYTES     16

static int refuse(char *error, size_t size_bytes, const char *format, ...) _printf_(3, 4);

static int refuse(char *error, size_t size_bytes, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size_bytes, format, args);
	va_end(args);
	return -EINVAL;
}

static void copy_strings(
	struct json *to, const struct json *from, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = json_get_string(from, names[i], NULL);

		if (text)
			json_set_string(to, names[i], text);
	}
}

/* ---- network adapters ---- */

static int make_nics(
	const struct json *wanted, struct json *config, char *error, size_t error_size_bytes)
{
	struct json *nics = json_array_new();

	json_set(config, "nics", nics);
	if (json_length(wanted) > SVC_MAX_NICS)
		return refuse(error, error_size_bytes, "a VM has at most %d network adapters",
			SVC_MAX_NICS);
	for (size_t i = 0; i < json_length(wanted); i++) {
		struct nic_error why;
		struct json *nic;

		if (nic_config_change(NULL, json_at(wanted, i), NIC_OF_VM, &nic, &why) < 0)
			return refuse(
				error, error_size_bytes, "network adapter %zu: %s", i, why.text);
		json_append(nics, nic);
	}
	return 0;
}

/* ---- disks ---- */

static bool lun_is_free(const struct json *disks, int64_t lun)
{
	for (size_t i = 0; i < json_length(disks); i++) {
		if (json_get_int(json_at(disks, i), "lun", -1) == lun)
			return false;
	}
	return true;
}

/* By this the guest knows the disk again wherever it is attached. */
static int set_identity(struct json *disk)
{
	uint8_t bytes[DISK_ID_BYTES];
	char text[2 * DISK_ID_BYTES + 1];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	json_set_string(disk, "id", text);
	if (!json_get_string(disk, "serial", NULL)) {
		text[20] = '\0';
		json_set_string(disk, "serial", text);
	}
	return 0;
}

static const char *check_disk(const struct json *wanted, bool is_dvd)
{
	const char *path = json_get_string(wanted, "path", NULL);
	const char *serial = json_get_string(wanted, "serial", "");

	if (!is_dvd && strcmp(json_get_string(wanted, "kind", "disk"), "disk") != 0)
		return "its kind is disk or dvd";
	if (!path && !is_dvd)
		return "it needs a path";
	if (path && (path[0] != '/' || strlen(path) > MAX_PATH_LEN))
		return "its path must be absolute, and the same on every node it may run on";
	if (strlen(serial) > MAX_SERIAL_LEN)
		return "its serial number has at most 36 characters";
	for (const char *c = serial; *c; c++) {
		if (*c < ' ' || *c > '~')
			return "its serial number has printable ASCII characters only";
	}
	return NULL;
}

int vm_disk_config(const struct json *wanted, const struct json *disks, struct json **ret_disk,
	char *error, size_t error_size_bytes)
{
	static const char *const texts[] = {"path", "serial"};
	bool is_dvd = strcmp(json_get_string(wanted, "kind", "disk"), "dvd") == 0;
	int64_t lun = json_get_int(wanted, "lun", -1);
	const char *why = check_disk(wanted, is_dvd);
	struct json *disk;
	int r;

	if (why)
		return refuse(error, error_size_bytes, "disk %zu: %s", json_length(disks), why);
	for (int64_t i = 0; lun < 0 && i < SVC_MAX_DISKS; i++) {
		if (lun_is_free(disks, i))
			lun = i;
	}
	if (lun < 0 || lun >= SVC_MAX_DISKS)
		return refuse(error, error_size_bytes, "a VM has LUNs 0 to %d", SVC_MAX_DISKS - 1);
	disk = json_object_new();
	json_set_int(disk, "lun", lun);
	json_set_string(disk, "kind", is_dvd ? "dvd" : "disk");
	copy_strings(disk, wanted, texts, ARRAY_LEN(texts));
	json_set_bool(disk, "read_only", is_dvd || json_get_bool(wanted, "read_only", false));
	r = set_identity(disk);
	if (r < 0) {
		json_unref(disk);
		return refuse(error, error_size_bytes, "there is no randomness for an identity");
	}
	*ret_disk = disk;
	return 0;
}

static int make_disks(
	const struct json *wanted, struct json *config, char *error, size_t error_size_bytes)
{
	struct json *disks = json_array_new();

	json_set(config, "disks", disks);
	for (size_t i = 0; i < json_length(wanted); i++) {
		int64_t lun = json_get_int(json_at(wanted, i), "lun", -1);
		struct json *disk;
		int r;

		if (lun >= 0 && !lun_is_free(disks, lun))
			return refuse(
				error, error_size_bytes, "two disks at LUN %lld", (long long)lun);
		r = vm_disk_config(json_at(wanted, i), disks, &disk, error, error_size_bytes);
		if (r < 0)
			return r;
		json_append(disks, disk);
	}
	return 0;
}

/* ---- memory ---- */

static bool memory_is_valid(int64_t bytes)
{
	return bytes >= MIN_MEMORY_BYTES && bytes <= MAX_MEMORY_BYTES &&
	       bytes % MEMORY_UNIT_BYTES == 0;
}

int vm_config_set_memory(struct json *config, int64_t start, int64_t min, int64_t max, char *error,
	size_t error_size_bytes)
{
	if (!memory_is_valid(start) || !memory_is_valid(min) || !memory_is_valid(max))
		return refuse(
			error, error_size_bytes, "memory is 16 MiB to 256 GiB, in steps of 2 MiB");
	if (min > start || start > max)
		return refuse(error, error_size_bytes,
			"memory must grow in this order: minimum, start, maximum");
	json_set_int(config, "memory_bytes", start);
	json_set_int(config, "min_memory_bytes", min);
	json_set_int(config, "max_memory_bytes", max);
	return 0;
}

/* ---- the whole ---- */

static int make_machine(
	const struct json *m, struct json *config, char *error, size_t error_size_bytes)
{
	static const char *const texts[] = {"kernel", "initrd"};
	int64_t memory = json_get_int(m, "memory_bytes", 0);
	int64_t vps = json_get_int(m, "vps", 1), vram = json_get_int(m, "vram_bytes", 0);

	if (!svc_name_is_valid(json_get_string(m, "name", "")))
		return refuse(error, error_size_bytes,
			"a VM needs a name of at most %d characters: letters, digits, - _ .",
			SVC_NAME_MAX_LEN);
	if (json_get_string(m, "kernel", "")[0] != '/')
		return refuse(error, error_size_bytes,
			"a VM needs a kernel, given with its absolute path");
	if (json_get_string(m, "initrd", "/")[0] != '/')
		return refuse(error, error_size_bytes,
			"the initial RAM disk is given with its absolute path");
	if (vps < 1 || vps > MAX_VPS)
		return refuse(
			error, error_size_bytes, "a VM has 1 to %d virtual processors", MAX_VPS);
	if (vram < 0 || vram > 64 << 20 || vram & (vram - 1) || (vram && vram < 4 << 20))
		return refuse(error, error_size_bytes,
			"video memory is 0 or a power of two from 4 MiB to 64 MiB");
	if (strlen(json_get_string(m, "cmdline", "")) > MAX_CMDLINE_LEN)
		return refuse(error, error_size_bytes,
			"the kernel's command line is at most %d characters", MAX_CMDLINE_LEN);
	json_set_string(config, "name", json_get_string(m, "name", ""));
	copy_strings(config, m, texts, ARRAY_LEN(texts));
	json_set_string(config, "cmdline", json_get_string(m, "cmdline", ""));
	json_set_int(config, "vps", vps);
	json_set_int(config, "vram_bytes", vram);
	return vm_config_set_memory(config, memory, json_get_int(m, "min_memory_bytes", memory),
		json_get_int(m, "max_memory_bytes", memory), error, error_size_bytes);
}

int vm_config_change(const struct json *old, const struct json *changes, struct json **ret_config,
	char *error, size_t error_size_bytes)
{
	static const char *const keys[] = {"kernel", "initrd", "cmdline", "vps", "vram_bytes",
		"memory_bytes", "min_memory_bytes", "max_memory_bytes"};
	_cleanup_json_ struct json *config = json_copy(old), *wanted = json_copy(old);
	int r;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct json *value = json_get(changes, keys[i]);

		if (value && !json_is_null(value))
			json_set(wanted, keys[i], json_copy(value));
		else if (value)
			json_delete(wanted, keys[i]);
	}
	json_delete(config, "initrd");
	r = make_machine(wanted, config, error, error_size_bytes);
	if (r == 0)
		*ret_config = take_ptr(config);
	return r;
}

int vm_config_make(
	const struct json *message, struct json **ret_config, char *error, size_t error_size_bytes)
{
	_cleanup_json_ struct json *config = json_object_new();
	int r = make_machine(message, config, error, error_size_bytes);

	if (r == 0)
		r = make_nics(json_get(message, "nics"), config, error, error_size_bytes);
	if (r == 0)
		r = make_disks(json_get(message, "disks"), config, error, error_size_bytes);
	if (r == 0)
		*ret_config = take_ptr(config);
	return r;
}
