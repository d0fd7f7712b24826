package edge

import "time"

// Command is what the SOC asks of the box. It is journalled before it is done and once more with its outcome; a repeated
// ID returns the first outcome, an expired one is refused, a crash between gives CommandUnknown and never a retry.
// There is no command that sets, unsets, omits, resets or silences a panel (P11).
type Command struct {
	ID      CommandID `json:"id"`
	Kind    string    `json:"kind"` // "clip", "status"
	Camera  CameraID  `json:"camera,omitempty"`
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	Expires time.Time `json:"expires"`
	Signer  string    `json:"signer,omitempty"` // who asked, as the SOC knows them
}

// CommandState is how far a command is.
type CommandState string

const (
	CommandSent    CommandState = "sent"
	CommandDone    CommandState = "done"
	CommandFailed  CommandState = "failed"
	CommandExpired CommandState = "expired"
	CommandUnknown CommandState = "unknown"
)

// CommandFact is what became of a command.
type CommandFact struct {
	ID      CommandID    `json:"id"`
	State   CommandState `json:"state"`
	Outcome string       `json:"outcome,omitempty"`
}
