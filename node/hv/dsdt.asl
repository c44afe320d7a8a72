/* SPDX-License-Identifier: MIT
 *
 * dsdt.asl - the machine as ACPI names it. With VIDEO a PCI bus is there, and the bus of synthetic
 * devices below it, as drivers of the display function expect: they look for the memory of the
 * display among the windows of VMBS or of what stands above it.
 *
 * Ports and addresses: chipset.h, ports.h and PARTITION_VRAM_GPA.
 */
DefinitionBlock ("", "DSDT", 2, "VIADCT", "VIADUCT ", 1)
{
    Name (\_S5, Package (4) { 0, 0, 0, 0 })

    Scope (\_SB)
    {
#ifdef VIDEO
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0, 0, 0, 0, 1)
                IO (Decode16, 0x0cf8, 0x0cf8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0x0d00, 0xffff, 0, 0xf300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0, 0xf8000000, 0xfbffffff, 0, 0x04000000)
            })
#endif
            Device (VMBS)
            {
                Name (_HID, "VMBUS")
                Name (_UID, 0)
                Name (_DDN, "VMBUS")
                Method (_STA, 0, NotSerialized) { Return (0x0f) }
                Name (_CRS, ResourceTemplate ()
                {
                    IRQ (Edge, ActiveHigh, Exclusive) { 7 }
#ifndef VIDEO
                    DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable,
                        ReadWrite, 0, 0xf8000000, 0xfbffffff, 0, 0x04000000)
#endif
                })
            }
#ifdef VIDEO
        }
#endif

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03f8, 0x03f8, 1, 8)
                IRQNoFlags () { 4 }
            })
        }
    }
}
