package journal

import (
	"sort"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

var cowCauses = map[memmap.Cause]bool{memmap.COWCopy: true, memmap.COWReuse: true}

// Key names the group that an event is counted in; "" leaves it out.
type Key func(*mm.Event) string

// Count is one group of a sum.
type Count struct {
	Name   string
	Events uint64
	Pages  uint64 // pages of the events' ranges
}

// Reset makes sums begin after the newest event.
func (j *Journal) Reset() {
	last := j.Last()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reset = last
}

// Stats sums the events since the last Reset that match by key: the largest
// group first, equals by name.
func (j *Journal) Stats(match Match, key Key) ([]Count, error) {
	events, err := j.Select(match)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	from := j.reset
	j.mu.Unlock()
	groups := map[string]*Count{}
	for i := range events {
		e := &events[i]
		name := key(e)
		if e.Seq <= from || name == "" {
			continue
		}
		if groups[name] == nil {
			groups[name] = &Count{Name: name}
		}
		groups[name].Events++
		groups[name].Pages += PagesOf(e)
	}
	return sorted(groups), nil
}

func sorted(groups map[string]*Count) []Count {
	counts := make([]Count, 0, len(groups))
	for _, c := range groups {
		counts = append(counts, *c)
	}
	sort.Slice(counts, func(i, k int) bool {
		if counts[i].Events != counts[k].Events {
			return counts[i].Events > counts[k].Events
		}
		return counts[i].Name < counts[k].Name
	})
	return counts
}

// PagesOf returns the pages of e's range; a fault without one is of one page.
func PagesOf(e *mm.Event) uint64 {
	if e.Range.IsEmpty() {
		if e.Kind == mm.EventFault {
			return 1
		}
		return 0
	}
	return (e.Range.Length() + memmap.PageSize - 1) / memmap.PageSize
}
