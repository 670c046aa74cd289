package wire

// Distinct gives names of which none is given twice, each made of one that is wanted. However many are wanted that are
// taken, each takes about as long as the first. Its zero value is ready.
type Distinct struct {
	// after has every name that is given, with one that comes after it among those that Take tries: where it looks next.
	after map[string]string
}

// Take gives wanted, or where that is taken the first of other(wanted), other(other(wanted)) and so on that is not.
func (d *Distinct) Take(wanted string, other func(taken string) string) string {
	if d.after == nil {
		d.after = make(map[string]string)
	}
	var passed []string
	name := wanted
	for {
		next, taken := d.after[name]
		if !taken {
			break
		}
		passed = append(passed, name)
		name = next
	}
	d.after[name] = other(name)
	for _, p := range passed { // the way is walked once
		d.after[p] = d.after[name]
	}
	return name
}
