// Package video holds the nouns of the picture side: the access unit, the parameters that a decoder needs for it and
// the 90 kHz tick that both are timed in.
//
// An AccessUnit is never changed after it was made and is shared between the ring, the clips and the eye; nothing here
// copies one. The package owns no goroutine, file or connection; everything in it may be used from any goroutine.
// H.264 is ITU-T H.264 (08/2021), H.265 is ITU-T H.265 (08/2021); the sample form is ISO/IEC 14496-15.
package video
