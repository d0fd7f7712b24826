package modbus

import (
	"testing"

	"sitewatch/drivers/paneltest"
)

func TestConformance(t *testing.T) { paneltest.Run(t, Driver) }
