package ca

// Effect is a change that a door's store wants committed together with a
// certificate (finish this order, burn this secret, strike this nonce). It is
// opaque: it wraps a value private to the driver that made it, and a driver
// that is handed a foreign one answers with an internal error.
//
// An effect is a guard and a change in one statement: where the guard does not
// hold it changes nothing and reports so, and the whole member is dropped.
type Effect struct{ private any }

// NewEffect wraps a driver's private value.
func NewEffect(private any) Effect { return Effect{private} }

// Private gives the wrapped value back to the driver that made it.
func (e Effect) Private() any { return e.private }

// LostEffect says that an effect's guard did not hold when its batch ran:
// nothing of the request was committed.
type LostEffect struct {
	Entry int // position of the entry in the call
	Index int // position in that entry's Effects
}

func (e *LostEffect) Error() string { return "an effect's guard no longer holds" }
