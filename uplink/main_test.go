package uplink_test

import (
	"testing"

	"sitewatch/edge/edgetest"
)

func TestMain(m *testing.M) { edgetest.Main(m) }
