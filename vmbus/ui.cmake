# Picture, keyboard and mouse.
set(UI_SOURCES
    kbd_map.c
    kbd_vsp.c
    mouse_vsp.c
    pipe_device.c
    pipe_queue.c
    synthkbd.c
    synthmouse.c
    synthvid.c
    vid_edid.c
    vid_vsp.c)
