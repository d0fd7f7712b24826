package osdp

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitewatch/drivers/panel"
)

func problems(settings map[string]any) (paths []string, all string) {
	for _, p := range panel.Check(Driver, "/dev/ttyUSB3", settings) {
		paths = append(paths, p.Path)
		all += fmt.Sprintf("%s: %s (%s)\n", p.Path, p.What, p.Hint)
		if p.What == "" || p.Hint == "" || strings.Contains(p.What, p.Hint) {
			all += "^ says too little\n"
		}
	}
	return paths, all
}

func devices(list ...map[string]any) map[string]any {
	out := make([]any, len(list))
	for i, m := range list {
		out[i] = m
	}
	return map[string]any{"devices": out}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		return writeKey(t, filepath.Join(dir, name), text, mode)
	}
	good := write("good.key", "0011 2233 4455 6677\n 8899 aabb CCDD EEFF \n", 0o600)
	off := func(more ...any) map[string]any {
		m := map[string]any{"address": 1, "secure": "off"}
		for i := 0; i < len(more); i += 2 {
			m[more[i].(string)] = more[i+1]
		}
		return m
	}
	key := func(name string) map[string]any { return map[string]any{"address": 1, "scbk_file": name} }
	for name, tt := range map[string]struct {
		settings map[string]any
		want     string // paths of the problems
	}{
		"the manual's":         {map[string]any{"baud": 9600, "devices": []any{map[string]any{"address": 1, "scbk_file": good, "inputs": map[string]any{"3": "301"}}}}, ""},
		"owner may read only":  {devices(key(write("ro.key", testKey, 0o400))), ""},
		"in clear":             {devices(off("check", "checksum", "inputs", map[string]any{"1": "1-1", "2": "x"})), ""},
		"window":               {map[string]any{"install_key": "2026-11-25T18:00:00Z", "devices": []any{key(good)}}, ""},
		"window of one device": {devices(map[string]any{"address": 0, "scbk_file": good, "install_key": time.Now()}), ""},
		"all addresses":        {devices(off("address", 0), off("address", 126)), ""},
		"none":                 {map[string]any{}, "settings.devices"},
		"empty":                {devices(), "settings.devices"},
		"no key, and not off":  {devices(map[string]any{"address": 1}), "settings.devices[0].scbk_file"},
		"key, and off":         {devices(off("scbk_file", good)), "settings.devices[0].secure"},
		"key and checksum":     {devices(map[string]any{"address": 1, "scbk_file": good, "check": "checksum"}), "settings.devices[0].check"},
		"missing":              {devices(key(filepath.Join(dir, "none"))), "settings.devices[0].scbk_file"},
		"a folder":             {devices(key(dir)), "settings.devices[0].scbk_file"},
		"a device":             {devices(key("/dev/zero")), "settings.devices[0].scbk_file"},
		"others may read it":   {devices(key(write("loose.key", testKey, 0o640))), "settings.devices[0].scbk_file"},
		"others may write it":  {devices(key(write("loose2.key", testKey, 0o602))), "settings.devices[0].scbk_file"},
		"too short":            {devices(key(write("short.key", testKey[2:], 0o600))), "settings.devices[0].scbk_file"},
		"too long":             {devices(key(write("long.key", testKey+"00", 0o600))), "settings.devices[0].scbk_file"},
		"huge":                 {devices(key(write("huge.key", strings.Repeat("00", 1<<20), 0o600))), "settings.devices[0].scbk_file"},
		"not hex":              {devices(key(write("nohex.key", "G"+testKey[1:], 0o600))), "settings.devices[0].scbk_file"},
		"the factory's":        {devices(key(write("factory.key", "303132333435363738393a3b3c3d3e3f", 0o600))), "settings.devices[0].scbk_file"},
		"zeros":                {devices(key(write("zero.key", strings.Repeat("0", 32), 0o600))), "settings.devices[0].scbk_file"},
		"no address":           {devices(map[string]any{"secure": "off"}), "settings.devices[0].address"},
		"address 127":          {devices(off("address", 127)), "settings.devices[0].address"},
		"address -1":           {devices(off("address", -1)), "settings.devices[0].address"},
		"address twice":        {devices(off(), off()), "settings.devices[1].address"},
		"input 0":              {devices(off("inputs", map[string]any{"0": "301"})), "settings.devices[0].inputs.0"},
		"input 256":            {devices(off("inputs", map[string]any{"256": "301"})), "settings.devices[0].inputs.256"},
		"input 03":             {devices(off("inputs", map[string]any{"03": "301"})), "settings.devices[0].inputs.03"},
		"input x":              {devices(off("inputs", map[string]any{"x": "301"})), "settings.devices[0].inputs.x"},
		"zone of no name":      {devices(off("inputs", map[string]any{"3": ""})), "settings.devices[0].inputs.3"},
		"zone twice":           {devices(off("inputs", map[string]any{"3": "301", "4": "301"})), "settings.devices[0].inputs"},
		"zone of two devices":  {devices(off("inputs", map[string]any{"3": "301"}), off("address", 2, "inputs", map[string]any{"1": "301"})), "settings.devices[1].inputs"},
		"an unmapped input's":  {devices(off("inputs", map[string]any{"3": "2-4"}), off("address", 2)), "settings.devices[0].inputs"},
		"a mapped input's":     {devices(off("inputs", map[string]any{"3": "2-4"}), off("address", 2, "inputs", map[string]any{"4": "x"})), ""},
		"no time":              {map[string]any{"install_key": "tomorrow", "devices": []any{off()}}, "settings.install_key"},
		"timeout":              {map[string]any{"timeout": "1ms", "devices": []any{off()}}, "settings.timeout"},
		"unknown":              {devices(off("scbk", testKey)), "settings.devices[0].scbk"},
		"all at once":          {devices(map[string]any{"address": 200, "inputs": map[string]any{"0": "1", "x": "2"}}, key(good), off()), "settings.devices[0].address settings.devices[0].scbk_file settings.devices[0].inputs.0 settings.devices[0].inputs.x settings.devices[2].address"},
	} {
		paths, all := problems(tt.settings)
		want := strings.Fields(tt.want)
		for _, w := range want {
			if !strings.Contains(" "+strings.Join(paths, " ")+" ", " "+w+" ") {
				t.Errorf("%s: %s is no problem:\n%s", name, w, all)
			}
		}
		if len(paths) != len(want) || strings.Contains(all, "too little") {
			t.Errorf("%s: %d problems, want %d:\n%s", name, len(paths), len(want), all)
		}
		if u := strings.ToUpper(all); strings.Contains(u, "33445566") {
			t.Errorf("%s: a key is printed:\n%s", name, all)
		}
	}
	if os.Getuid() != 0 {
		if paths, all := problems(devices(key(write("unreadable.key", testKey, 0)))); len(paths) != 1 {
			t.Errorf("a key that we may not read: %s", all)
		}
	}
	k, _, err := readKeyFile(good)
	if err != nil || k != Key(unhex(t, testKey)) {
		t.Errorf("the key is read wrongly, %v", err)
	}
}
