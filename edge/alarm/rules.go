package alarm

import "time"

// Rules are the site's limits; zero fields have the default of the same name.
type Rules struct {
	ConfirmWindow time.Duration // two zones within it make a confirmed intruder alarm
	HoldUpWindow  time.Duration // likewise of hold-ups
	Swinger       int           // alarms of one zone in a set period; later ones are held
	Storm         int           // intruder and tamper alarms of one panel in a minute; later ones are held
	AfterSet      time.Duration // an intruder alarm within it is "soon after set"
	Engineer      time.Duration // engineer mode ends by itself after it
	WalkTest      time.Duration // likewise a walk test
}

// Defaults of Rules.
const (
	DefaultConfirmWindow = 30 * time.Minute
	DefaultHoldUpWindow  = 8 * time.Hour
	DefaultAfterSet      = 2 * time.Minute
	DefaultSwinger       = 3
	DefaultStorm         = 20
	DefaultEngineer      = 4 * time.Hour
	DefaultWalkTest      = time.Hour
)

func (r Rules) withDefaults() Rules {
	def(&r.ConfirmWindow, DefaultConfirmWindow)
	def(&r.HoldUpWindow, DefaultHoldUpWindow)
	def(&r.AfterSet, DefaultAfterSet)
	def(&r.Swinger, DefaultSwinger)
	def(&r.Storm, DefaultStorm)
	def(&r.Engineer, DefaultEngineer)
	def(&r.WalkTest, DefaultWalkTest)
	return r
}

func def[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
