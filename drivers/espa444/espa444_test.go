package espa444

import (
	"testing"

	"sitewatch/drivers/paneltest"
)

func TestConformance(t *testing.T) { paneltest.Run(t, Driver) }
