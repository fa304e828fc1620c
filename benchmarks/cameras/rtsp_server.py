"""A camera on loopback: GStreamer's RTSP server plays numbered JPEGs as H.264, for ever.

    /usr/bin/python3 benchmarks/cameras/rtsp_server.py 'frames/%05d.jpg' --port 8554 --fps 30

Runs in the system's Python (Debian: apt install gir1.2-gst-rtsp-server-1.0 python3-gi
gstreamer1.0-rtsp gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly).
Prints its address when it listens. ``--password USER:PASSWORD`` asks for it (basic).
"""

from __future__ import annotations

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  (after their versions)


def launch_of(jpegs: str, fps: int) -> str:
    return (
        f"( multifilesrc location={jpegs} loop=true caps=image/jpeg,framerate={fps}/1 ! jpegdec ! "
        "videoconvert ! video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=ultrafast "
        f"key-int-max={fps} bitrate=4000 ! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )


def ask_for_password(server: GstRtspServer.RTSPServer, password: str) -> None:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*password.split(":", 1)), token)
    server.set_auth(auth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jpegs")
    parser.add_argument("--port", default="8554")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--password")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=options.port)
    factory = GstRtspServer.RTSPMediaFactory(shared=True, latency=0)
    factory.set_launch(launch_of(options.jpegs, options.fps))
    if options.password:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
        ask_for_password(server, options.password)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/camera", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
