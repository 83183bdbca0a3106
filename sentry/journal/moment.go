package journal

import "fmt"

// NotKeptError says that the past is asked for a state that nobody kept: events
// are held, the memory of that moment is not.
type NotKeptError struct{ Moment string }

func (e *NotKeptError) Error() string {
	return fmt.Sprintf("%s: not kept: this version keeps events, not the memory of past moments", e.Moment)
}
