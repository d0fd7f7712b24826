package pace

// Wire is for the simulated line: what a message costs on it.
func Wire(n int) int { return wire(n) }
