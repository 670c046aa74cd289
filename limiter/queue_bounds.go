package limiter

import "time"

// makeRoom evicts calls of Background for those of other classes, and then the newest calls
// of the tenant that holds most of what is short, if it still holds no less than r's tenant
// then. It reports whether r fits.
func (q *Queue) makeRoom(r Request, now time.Time) bool {
	count := q.count + 1 - r.MaxCount
	bytes := q.bytes + r.Bytes - r.MaxBytes
	if count <= 0 && bytes <= 0 {
		return true
	}
	if r.MaxCount < 1 || r.Bytes > r.MaxBytes {
		return false
	}
	// If a reload has narrowed the bounds, no waiting call is evicted for that:
	// a new call evicts no more than the room that it needs itself.
	count, bytes = min(count, 1), min(bytes, r.Bytes)
	evict := func(l *line) {
		w := l.last
		count--
		bytes -= w.Bytes
		q.remove(w)
		w.deliver(booking{}, q.full(w.Request, now))
	}
	among := q.class[background:]
	if r.Priority.class() != background {
		for among = q.class[:]; (count > 0 || bytes > 0) && q.class[background].count > 0; {
			evict(q.class[background].busy[0])
		}
	}
	if count <= 0 && bytes <= 0 {
		return true
	}
	holds := func(l *line) int64 {
		if count > 0 {
			return int64(l.count)
		}
		return l.bytes
	}
	var most *line
	for c := range among {
		for _, l := range among[c].busy {
			if most == nil || holds(l) >= holds(most) {
				most = l
			}
		}
	}
	own := q.class[r.Priority.class()].lines[r.Tenant]
	if own == nil {
		own = &line{}
	}
	if most == nil || most == own ||
		count > 0 && most.count-count < own.count+1 ||
		bytes > 0 && most.bytes-bytes < own.bytes+r.Bytes {
		return false
	}
	for count > 0 || bytes > 0 {
		evict(most)
	}
	return true
}

func (q *Queue) full(r Request, now time.Time) *Rejection {
	return &Rejection{Reason: QueueFull, RetryAfter: q.predict(r, q.ahead(r), now)}
}
