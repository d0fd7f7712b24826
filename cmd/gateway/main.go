// Command gateway is the program of the box in each shop: it reads the panels, keeps the pre-alarm pictures of the
// cameras, journals what happened and brings it to the SOC.
package main

import (
	"context"

	"sitewatch/cmd/cli"
)

type commands struct {
	Run      runCmd         `cmd:"" help:"Run the gateway until it is told to stop."`
	Check    checkCmd       `cmd:"" help:"Check configuration and environment; list every problem at once."`
	Enrol    enrolCmd       `cmd:"" help:"Make the box's key and get its certificate from the SOC, with a token of 'soc claim'."`
	Status   statusCmd      `cmd:"" help:"Print what the running gateway says of itself."`
	Discover discoverCmd    `cmd:"" help:"Look for cameras on the network and say what they are, with a picture each."`
	Replay   replayCmd      `cmd:"" help:"Run a transcript (.wire) through its driver and say what it means."`
	Capture  captureCmd     `cmd:"" help:"Record a panel's line as a transcript, without its secrets."`
	Clip     clipCmd        `cmd:"" help:"Write a kept clip as a progressive MP4 for players that know no fragments."`
	Verify   verifyCmd      `cmd:"" help:"Walk the journal's hash chain."`
	Eye      eyeCmd         `cmd:"" help:"Try the eye, which looks for movement, on recordings."`
	Version  cli.VersionCmd `cmd:"" help:"Print the version."`
}

func main() {
	cli.Main(context.Background(), "gateway", "Sitewatch in-store security gateway.", &commands{})
}

// configFlag is on every subcommand.
type configFlag struct {
	Config string `help:"Configuration file." default:"/etc/sitewatch/gateway.yaml" type:"path" placeholder:"FILE"`
}
