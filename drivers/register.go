// Package drivers lists the panels that the box can read. Each has a folder of its own beside this file; README.md says
// how to add one.
package drivers

import (
	"sitewatch/drivers/espa444"
	"sitewatch/drivers/galaxy"
	"sitewatch/drivers/modbus"
	"sitewatch/drivers/osdp"
	"sitewatch/drivers/panel"
)

// All returns the drivers of this build.
func All() panel.Registry {
	var r panel.Registry
	r.Register(galaxy.Driver)
	r.Register(modbus.Driver)
	r.Register(espa444.Driver)
	r.Register(osdp.Driver)
	return r
}
