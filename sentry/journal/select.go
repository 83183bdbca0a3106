package journal

import "mmsh.dev/mmsh/mm"

// Match says whether an event is wanted. An error ends the selection.
type Match func(*mm.Event) (bool, error)

// Select returns the events that match, oldest first; a nil Match wants all.
func (j *Journal) Select(match Match) ([]mm.Event, error) {
	all := j.After(0)
	if match == nil {
		return all, nil
	}
	var found []mm.Event
	for i := range all {
		ok, err := match(&all[i])
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, all[i])
		}
	}
	return found, nil
}

// IsCOW reports whether e is a fault that ended a page's wait for copy-on-write.
func IsCOW(e *mm.Event) bool { return e.Kind == mm.EventFault && cowCauses[e.Cause] }

// IsKind reports whether e is of the kind that filters call name: the kinds of
// mm, of which `map` includes remappings, and `cow`.
func IsKind(e *mm.Event, name string) bool {
	if name == "cow" {
		return IsCOW(e)
	}
	if name == "map" && e.Kind == mm.EventRemap {
		return true
	}
	return e.Kind.String() == name
}
