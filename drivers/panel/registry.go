package panel

import "slices"

// Registry is the list of drivers that a program knows. The zero value is empty.
type Registry struct {
	drivers []Driver
}

// Register adds d. Two drivers of one name, or one without a name or New, are a broken build: it panics.
func (r *Registry) Register(d Driver) {
	if _, twice := r.Driver(d.Name); twice || d.Name == "" || d.New == nil || len(d.Ports) == 0 {
		panic("panel: driver " + d.Name + " is registered twice or is incomplete")
	}
	r.drivers = append(r.drivers, d)
}

// Driver returns the driver of that name.
func (r *Registry) Driver(name string) (Driver, bool) {
	for _, d := range r.drivers {
		if d.Name == name {
			return d, true
		}
	}
	return Driver{}, false
}

// Names returns the names of all drivers, sorted.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.drivers))
	for _, d := range r.drivers {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}
