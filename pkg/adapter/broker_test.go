package adapter_test

import "sync"

// broker stands for a message system's client library: it carries bytes from
// publishers to the subscribers of a subject, in order, each on a goroutine of
// its own.
type broker struct {
	mu       sync.Mutex
	subjects map[string]map[*subscription]bool
}

type subscription struct {
	wake chan struct{} // has room for one
	done chan struct{} // closed when handle is not called any more

	mu      sync.Mutex
	queue   [][]byte
	stopped bool
}

func newBroker() *broker { return &broker{subjects: map[string]map[*subscription]bool{}} }

func (b *broker) subscribe(subject string, handle func([]byte)) *subscription {
	s := &subscription{wake: make(chan struct{}, 1), done: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subjects[subject] == nil {
		b.subjects[subject] = map[*subscription]bool{}
	}
	b.subjects[subject][s] = true
	go s.run(handle)
	return s
}

// unsubscribe stops handle; s.done says when the last call has returned.
func (b *broker) unsubscribe(subject string, s *subscription) {
	b.mu.Lock()
	delete(b.subjects[subject], s)
	b.mu.Unlock()
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.ring()
}

func (b *broker) publish(subject string, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subjects[subject] {
		s.mu.Lock()
		s.queue = append(s.queue, data)
		s.mu.Unlock()
		s.ring()
	}
}

func (s *subscription) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscription) run(handle func([]byte)) {
	defer close(s.done)
	for range s.wake {
		for data, ok := s.next(); ok; data, ok = s.next() {
			handle(data)
		}
		s.mu.Lock()
		stopped := s.stopped
		s.mu.Unlock()
		if stopped {
			return
		}
	}
}

func (s *subscription) next() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || len(s.queue) == 0 {
		return nil, false
	}
	data := s.queue[0]
	s.queue = s.queue[1:]
	return data, true
}
