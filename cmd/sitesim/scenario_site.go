package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// The simulated shop.
const (
	siteID       = "0417"
	siteName     = "Demo High Street"
	siteTimezone = "Europe/London"
)

// siteCameras are the cameras of the shop, by the id that gateway.yaml and the RTSP paths have.
var siteCameras = []cameraView{{"stockroom", "Stock room"}, {"door", "Front door"}, {"till", "Tills"}}

// siteCmd writes the configuration of the simulated site, for a gateway and a SOC on the same machine.
type siteCmd struct {
	Dir       string        `help:"Folder for the files; made if missing." default:"demo" type:"path"`
	SOCUplink string        `help:"Where the SOC listens for boxes." default:"127.0.0.1:7443" placeholder:"HOST:PORT"`
	SOCHTTP   string        `help:"Where the SOC's console is." default:"127.0.0.1:8080" placeholder:"HOST:PORT" name:"soc-http"`
	RTSP      string        `help:"Where the cameras are: as in 'sitesim run --rtsp'." default:"127.0.0.1:8554" placeholder:"HOST:PORT"`
	Listen    string        `help:"Where the gateway's own pages are." default:"127.0.0.1:8480" placeholder:"HOST:PORT"`
	Before    time.Duration `help:"Pictures before an alarm." default:"10s"`
	After     time.Duration `help:"Pictures after an alarm." default:"20s"`
}

// defaults fills in what was not given, for those who make a siteCmd without the command line.
func (c *siteCmd) defaults() {
	for _, d := range []struct {
		v   *string
		def string
	}{{&c.Dir, "demo"}, {&c.SOCUplink, "127.0.0.1:7443"}, {&c.SOCHTTP, "127.0.0.1:8080"}, {&c.RTSP, "127.0.0.1:8554"}, {&c.Listen, "127.0.0.1:8480"}} {
		if *d.v == "" {
			*d.v = d.def
		}
	}
	if c.Before == 0 {
		c.Before = 10 * time.Second
	}
	if c.After == 0 {
		c.After = 20 * time.Second
	}
}

// Run writes Dir/gateway.yaml and Dir/soc.yaml anew and returns. It leaves journals, certificates and clips as they are.
func (c *siteCmd) Run(context.Context) error {
	c.defaults()
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	c.Dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, tmpl := range map[string]*template.Template{"gateway.yaml": gatewayTemplate, "soc.yaml": socTemplate} {
		var b strings.Builder
		if err := tmpl.Execute(&b, struct {
			*siteCmd
			ID, Name, Timezone, Panel string
			Cameras                   any
		}{c, siteID, siteName, siteTimezone, panelLink(dir), siteCameras}); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// panelLink is the name under which the gateway opens the panel's line; it stays when the pty behind it changes.
func panelLink(dir string) string { return filepath.Join(dir, "panel") }

//go:embed scenario_gateway.yaml
var gatewayYAML string

//go:embed scenario_soc.yaml
var socYAML string

var (
	gatewayTemplate = template.Must(template.New("gateway.yaml").Parse(gatewayYAML))
	socTemplate     = template.Must(template.New("soc.yaml").Parse(socYAML))
)
