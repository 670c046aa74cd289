// Package budget bounds what tenants spend in a window of time.
//
// Before something is sent, the most that it may cost is reserved; afterwards what it
// has cost takes the place of that. The sum of both never exceeds a budget, whatever
// order things happen in, and whichever process ends in between.
//
// Budgets are counted in this process, within a part of the budget that it has taken
// from a [Store] beforehand: the store knows how much each process has taken, and
// permits no more than the budget altogether. So a call waits for the store only when
// the part is used up; while the store is away each process goes on with its part of
// what was left, and with one of the next window that it has taken in the hour before; and a process that is killed leaves behind, at most, a part that
// counts as spent until the window ends.
package budget
