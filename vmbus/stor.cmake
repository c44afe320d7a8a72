# The storage VSP: one SCSI controller.
set(STOR_SOURCES
    scsi_block.c
    scsi_command.c
    scsi_inquiry.c
    scsi_mmc.c
    scsi_mode.c
    stor_channel.c
    stor_lun.c
    stor_request.c
    stor_state.c
    stor_vstor.c
    storvsp.c)
