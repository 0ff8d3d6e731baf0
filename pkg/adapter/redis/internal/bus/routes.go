package bus

// routes says which lane has which slots. It is replaced, never changed.
type routes struct {
	lanes []*lane
	// slots are the owners; nil when the first lane has all.
	slots *[slots]*lane
}

// at returns the lane that has a slot.
func (r *routes) at(slot int) *lane {
	if r.slots == nil {
		return r.lanes[0]
	}
	return r.slots[slot]
}

// of returns the lane that has a channel.
func (r *routes) of(channel string) *lane {
	if r.slots == nil {
		return r.lanes[0]
	}
	return r.slots[slotOf(channel)]
}

// split sorts list by its owners, and keeps its order for each.
func (r *routes) split(list []*Outgoing) map[*lane][]*Outgoing {
	parts := make(map[*lane][]*Outgoing)
	for _, o := range list {
		owner := r.at(o.slot)
		parts[owner] = append(parts[owner], o)
	}
	return parts
}

// heirs returns the lanes that have slots of l's in next.
func (r *routes) heirs(l *lane, next *routes) map[*lane]struct{} {
	found := make(map[*lane]struct{})
	for slot := range slots {
		if to := next.at(slot); to != l && r.at(slot) == l {
			found[to] = struct{}{}
		}
	}
	return found
}
