package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sitewatch/edge"
	"sitewatch/edge/config"
)

//go:embed discover.html
var sheetHTML string

// keepPictures writes the pictures and the sheet, each file whole or not at all.
func (s *discovery) keepPictures() (err error) {
	if len(s.items) == 0 {
		return nil
	}
	if s.dir = s.cmd.Pictures; s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "sitewatch-discover-"); err != nil {
			return err
		}
	}
	for i := range s.items {
		for j := range s.items[i].Cameras {
			c := &s.items[i].Cameras[j]
			if c.jpeg == nil {
				continue
			}
			path := filepath.Join(s.dir, c.ID+".jpg")
			if err := os.WriteFile(path, c.jpeg, 0o600); err != nil {
				return err
			}
			c.Picture = path
		}
	}
	t, err := template.New("sheet").Funcs(template.FuncMap{"base": filepath.Base, "clock": item.clock}).Parse(sheetHTML)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.sheet(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = t.Execute(f, s.items)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (s *discovery) sheet() string { return filepath.Join(s.dir, "index.html") }

func (s *discovery) printJSON(w io.Writer) error {
	sheet := ""
	if s.dir != "" {
		sheet = s.sheet()
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Items []item `json:"items"`
		Sheet string `json:"sheet"` // page with all pictures; "" when nothing was found
	}{s.items, sheet})
}

// print writes what was found for people, and at the end what belongs into gateway.yaml.
func (s *discovery) print(w io.Writer) error {
	var b strings.Builder
	var fresh []config.Camera
	for _, it := range s.items {
		s.printItem(&b, it)
		for _, c := range it.Cameras {
			if c.Configured {
				continue
			}
			k := config.Camera{ID: edge.CameraID(c.ID), Name: it.Name, Main: c.Main, Sub: c.Sub, User: c.user, PasswordFile: c.file}
			if it.Events {
				k.ONVIF = it.Address
			}
			fresh = append(fresh, k)
		}
	}
	if len(s.items) > 0 {
		fmt.Fprintf(&b, "pictures: %s\n", s.sheet())
	}
	if len(fresh) > 0 {
		b.WriteString("\n# for gateway.yaml; give ids and names that people know\n")
		if err := config.PrintCameras(&b, fresh); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *discovery) printItem(b *strings.Builder, it item) {
	fmt.Fprintf(b, "%s", it.Address)
	if it.Model != "" || it.Make != "" {
		fmt.Fprintf(b, "  %s, firmware %s, serial %s, %s", strings.TrimSpace(it.Make+" "+it.Model), it.Firmware, it.Serial, it.clock())
	}
	if it.Name != "" {
		fmt.Fprintf(b, ", %q", it.Name)
	}
	b.WriteString("\n")
	if it.Error != "" {
		fmt.Fprintf(b, "  error: %s\n", it.Error)
	}
	for _, c := range it.Cameras {
		state := "not in the configuration"
		if c.Configured {
			state = "in the configuration"
		}
		fmt.Fprintf(b, "  %s: %s\n    main  %-22s %s\n", c.ID, state, c.MainStream, c.Main)
		if c.SubStream != nil {
			fmt.Fprintf(b, "    sub   %-22s %s\n", *c.SubStream, c.Sub)
		}
		if c.Picture != "" {
			fmt.Fprintf(b, "    picture %s\n", c.Picture)
		}
	}
	for _, n := range it.Notes {
		fmt.Fprintf(b, "  note: %s\n", n)
	}
}

// String is the stream as people read it: H264 640x360 15/s.
func (p profileItem) String() string {
	s := fmt.Sprintf("%s %dx%d", p.Codec, p.Width, p.Height)
	if p.FPS > 0 {
		s += fmt.Sprintf(" %d/s", p.FPS)
	}
	return s
}
