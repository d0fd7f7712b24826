"""Cameras that are not ours: GStreamer's RTSP server. Usage: gst_camera.py PORT [FILM.mkv...]

Serves rtsp://127.0.0.1:PORT/cam, a test picture, and each film without encoding it again under its name, which says what is in it, such
as /h264-aac.
"""
import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PICTURES = {"h264": "rtph264pay config-interval=-1", "h265": "rtph265pay config-interval=-1"}
SOUND = {"aac": "rtpmp4gpay", "opus": "rtpopuspay", "pcmu": "rtppcmupay", "pcma": "rtppcmapay", "l16": "audioconvert ! rtpL16pay"}


def launch(film):
    codec, sound = os.path.basename(film).removesuffix(".mkv").split("-")
    return (
        f"( filesrc location={film} ! matroskademux name=d d.video_0 ! queue ! {PICTURES[codec]} name=pay0 pt=96 "
        f"d.audio_0 ! queue ! {SOUND[sound]} name=pay1 )"
    )


Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
server.get_thread_pool().set_max_threads(-1)  # or one film that is slow to begin holds up the others
cameras = {
    "/cam": "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=10/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bitrate=500 ! rtph264pay name=pay0 pt=96 )"
}
for f in sys.argv[2:]:
    cameras["/" + os.path.basename(f).removesuffix(".mkv")] = launch(f)
for path, what in cameras.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(what)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
GLib.MainLoop().run()
