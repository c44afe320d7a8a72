/* SPDX-License-Identifier: MIT
 *
 * dsdt.S - what iasl made of dsdt.asl, without and with video; the build names the files.
 */
	.section .rodata
	.globl acpi_dsdt, acpi_dsdt_end, acpi_dsdt_video, acpi_dsdt_video_end
	.hidden acpi_dsdt, acpi_dsdt_end, acpi_dsdt_video, acpi_dsdt_video_end
	.balign 8
acpi_dsdt:
	.incbin DSDT_AML
acpi_dsdt_end:
	.balign 8
acpi_dsdt_video:
	.incbin DSDT_VIDEO_AML
acpi_dsdt_video_end:
	.section .note.GNU-stack, "", @progbits
