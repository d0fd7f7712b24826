package edge

import (
	"strings"
	"sync"
)

// Kind says what an event is, in words that do not depend on the panel. A restore has "-restored" added.
type Kind string

const (
	KindFire              Kind = "fire"
	KindHoldUp            Kind = "hold-up"
	KindHoldUpConfirmed   Kind = "hold-up-confirmed"
	KindDuress            Kind = "duress"
	KindPanic             Kind = "panic"
	KindLoneWorker        Kind = "lone-worker"
	KindGas               Kind = "gas"
	KindIntruder          Kind = "intruder"
	KindIntruderConfirmed Kind = "intruder-confirmed"
	KindTamper            Kind = "tamper"
	KindSiteLost          Kind = "site-lost"

	KindSet        Kind = "set"
	KindPartSet    Kind = "part-set"
	KindUnset      Kind = "unset"
	KindCancel     Kind = "cancel"
	KindReset      Kind = "reset"
	KindEngineer   Kind = "engineer"
	KindWalkTest   Kind = "walk-test"
	KindPanelLost  Kind = "panel-lost"
	KindLineFault  Kind = "line-fault"
	KindDeviceLost Kind = "device-lost"
	KindUnknown    Kind = "unknown"

	KindAlarmAfterSet Kind = "alarm-after-set"
	KindUnconfirmed   Kind = "unconfirmed"

	KindPathLost     Kind = "path-lost"
	KindCameraLost   Kind = "camera-lost"
	KindCameraFrozen Kind = "camera-frozen"
	KindMotion       Kind = "motion"
	KindClipReady    Kind = "clip-ready"
	KindClipLost     Kind = "clip-lost"
	KindDiskFull     Kind = "disk-full"
	KindDiskFailing  Kind = "disk-failing"
	KindClockBad     Kind = "clock-bad"
	KindTaskFailed   Kind = "task-failed"
	KindCommandDone  Kind = "command-done"
	KindAmended      Kind = "amended"
	KindEventsLost   Kind = "events-lost"
	KindStarted      Kind = "started"
	KindStopped      Kind = "stopped"

	KindCameraCovered   Kind = "camera-covered"
	KindCameraMoved     Kind = "camera-moved"
	KindCameraDefocused Kind = "camera-defocused"

	KindOutage          Kind = "outage"
	KindJournalReplaced Kind = "journal-replaced"

	restored = "-restored"
)

var urgentKinds = map[Kind]bool{
	KindFire: true, KindHoldUp: true, KindHoldUpConfirmed: true, KindDuress: true, KindPanic: true, KindLoneWorker: true,
	KindGas: true, KindIntruder: true, KindIntruderConfirmed: true, KindTamper: true, KindSiteLost: true,
}

// knownKinds are all kinds that this version knows, without restores.
var knownKinds = sync.OnceValue(func() map[Kind]bool {
	m := map[Kind]bool{}
	for _, k := range strings.Fields(`
		fire hold-up hold-up-confirmed duress panic lone-worker gas intruder intruder-confirmed tamper site-lost

		fire-prealarm fire-fault zone-fault zone-masked mains-lost battery-low psu-fault device-lost panel-lost omit set part-set unset
		set-failed set-late unset-late alarm-after-set cancel reset engineer walk-test wrong-code test clock-changed log-overflow power-up
		line-fault unconfirmed unknown

		path-lost camera-lost camera-frozen camera-covered camera-moved motion clip-ready clip-lost disk-full disk-failing
		camera-defocused clock-bad task-failed command-done amended events-lost started stopped updated

		outage journal-replaced`) {
		m[Kind(k)] = true
	}
	return m
})

// KnownKind says whether k is one of the kinds of this version, or the restore of one. It is for what people ask for: a
// newer box may send others, and these are kept like any event.
func KnownKind(k Kind) bool { return knownKinds()[k.Base()] }

// Lane returns Urgent for the alarm kinds and their restores, Routine for everything else, unknown kinds included.
func (k Kind) Lane() Lane {
	if urgentKinds[k.Base()] {
		return Urgent
	}
	return Routine
}

// Alarm says whether k is a new urgent condition, not the end of one: what gets clips.
func (k Kind) Alarm() bool { return urgentKinds[k] }

// MayBeHeld says whether an alarm of kind k, or its end, may go in the routine lane for what an Event's Held says: an intruder
// or a tamper alarm that comes again and again, or while an engineer is at work. No other alarm is ever held (P4).
func (k Kind) MayBeHeld() bool { return k.Base() == KindIntruder || k.Base() == KindTamper }

// Confirmed says whether k is one of the "-confirmed" kinds.
func (k Kind) Confirmed() bool { return strings.HasSuffix(string(k), "-confirmed") }

// Restored returns the kind that says that k is over.
func (k Kind) Restored() Kind { return k + restored }

// IsRestored says whether k says that something is over.
func (k Kind) IsRestored() bool { return strings.HasSuffix(string(k), restored) }

// Base returns k without "-restored".
func (k Kind) Base() Kind { return Kind(strings.TrimSuffix(string(k), restored)) }
