package main

import (
	"log/slog"

	"sitewatch/edge"
)

// cameras are those of the simulated shop.
func (c *runCmd) cameras(log *slog.Logger) (*cameraServer, error) {
	opt := cameraOptions{Listen: c.RTSP, File: c.Camera, Clock: edge.NewSystemClock(), Log: log}
	for _, cam := range siteCameras {
		opt.Cameras = append(opt.Cameras, cameraView{ID: edge.CameraID(cam.ID), Name: cam.Name})
	}
	return newCameraServer(opt)
}

// enter lets somebody walk into a camera's view, as the scenario says it.
func (s *cameraServer) enter(camera string) { s.Walk(edge.CameraID(camera)) }
