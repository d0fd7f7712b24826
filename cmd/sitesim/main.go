// Command sitesim is a whole site on a desk, for demonstrations, tests and training: an intruder panel on a pseudo
// terminal and cameras that speak RTSP, with a scenario that plays on both.
//
// It is made of real bytes: the gateway under test is configured with the pty and the RTSP addresses as it would be with
// a real panel and real cameras, and cannot tell the difference. It never speaks to a gateway or a SOC in any other way.
package main

import (
	"context"
	_ "time/tzdata" // the panel tells the shop's local time, also on a machine without zoneinfo

	"sitewatch/cmd/cli"
)

type commands struct {
	Site      siteCmd        `cmd:"" help:"Write gateway.yaml and soc.yaml for the simulated site and exit."`
	Run       runCmd         `cmd:"" help:"Play a scenario on a panel and three cameras."`
	Panel     panelCmd       `cmd:"" help:"A panel alone."`
	Camera    cameraCmd      `cmd:"" help:"A camera alone."`
	Demo      demoCmd        `cmd:"" help:"Everything on one desk: SOC, enrolment, panel, cameras, gateway."`
	Link      linkCmd        `cmd:"" help:"A slow line between two networks on this machine: rate, delay, queue, loss, outages (root)."`
	LinkBench linkBenchCmd   `cmd:"" name:"link-bench" help:"How late alarms are behind clips on slow lines, measured with the real programs."`
	Version   cli.VersionCmd `cmd:"" help:"Print the version."`
}

func main() {
	cli.Main(context.Background(), "sitesim", "A whole Sitewatch site on a desk.", &commands{})
}
