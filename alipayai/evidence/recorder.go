package evidence

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Defaults of [Options].
const (
	DefaultRate       = rate.Limit(10)
	DefaultBurst      = 20
	DefaultMaxRecords = 256
	DefaultMaxBytes   = 64 << 20
)

// Result is what became of a record, at one of the two places it is for.
type Result string

// The results.
const (
	Logged     Result = "logged"
	Suppressed Result = "suppressed" // over the rate of the log
	Sealed     Result = "sealed"
	SealFailed Result = "seal_failed"
	Dropped    Result = "dropped" // the log or the vault could not keep up
)

// Options of a [Recorder].
type Options struct {
	// Logger gets the redacted entries.
	Logger *zap.Logger
	// Vault keeps the complete records; nil for none.
	Vault *Vault
	// Rate and Burst bound the entries of the log, per second. Zero means
	// [DefaultRate] and [DefaultBurst].
	Rate  rate.Limit
	Burst int
	// MaxRecords and MaxBytes bound what waits to be written, for the log and for
	// the vault each. Zero means [DefaultMaxRecords] and [DefaultMaxBytes].
	MaxRecords int
	MaxBytes   int64
	// Observe is called with the result of each record; it may be nil. It must
	// not block.
	Observe func(Result)
}

// Recorder writes records in the background, in goroutines that exist only
// while there is something to write. It is safe for concurrent use, and has no
// end: it works on after the configuration that it was made for is gone.
type Recorder struct {
	opt      Options
	rate     *rate.Limiter
	failures rate.Sometimes
	log      queue[Record]
	vault    queue[Record]

	unlogged atomic.Int64 // dropped or suppressed since the last entry
	unsealed atomic.Int64 // since the last entry that says so
}

// NewRecorder makes a recorder.
func NewRecorder(opt Options) *Recorder {
	if opt.Rate == 0 {
		opt.Rate = DefaultRate
	}
	if opt.Burst == 0 {
		opt.Burst = DefaultBurst
	}
	if opt.MaxRecords == 0 {
		opt.MaxRecords = DefaultMaxRecords
	}
	if opt.MaxBytes == 0 {
		opt.MaxBytes = DefaultMaxBytes
	}
	if opt.Observe == nil {
		opt.Observe = func(Result) {}
	}
	r := &Recorder{
		opt:      opt,
		rate:     rate.NewLimiter(opt.Rate, opt.Burst),
		failures: rate.Sometimes{First: 1, Interval: 10 * time.Second},
	}
	r.log = queue[Record]{maxItems: opt.MaxRecords, maxBytes: opt.MaxBytes, work: r.write}
	r.vault = queue[Record]{maxItems: opt.MaxRecords, maxBytes: opt.MaxBytes, work: r.seal}
	return r
}

// Record queues the record and returns at once. What it points to is copied:
// the caller may go on using bodies and headers.
func (r *Recorder) Record(record Record) {
	size := record.size()
	logs := r.log.fits(size)
	seals := r.opt.Vault != nil && r.vault.fits(size)
	if logs || seals { // copying is worth it
		record = record.detached()
	}
	if !logs || !r.log.push(record, size) {
		r.unlogged.Add(1)
		r.opt.Observe(Dropped)
	}
	if r.opt.Vault != nil && (!seals || !r.vault.push(record, size)) {
		r.unsealed.Add(1)
		r.opt.Observe(Dropped)
	}
}

// Seal queues the record for the vault alone, and returns at once. What it points to is the
// recorder's from then on.
func (r *Recorder) Seal(record Record) {
	if r.opt.Vault != nil && !r.vault.push(record, record.size()) {
		r.unsealed.Add(1)
		r.opt.Observe(Dropped)
	}
}

// Flush waits until all records are written.
func (r *Recorder) Flush(ctx context.Context) error {
	if err := r.log.flush(ctx); err != nil {
		return err
	}
	return r.vault.flush(ctx)
}

// write is the work of the log's queue.
func (r *Recorder) write(record Record) {
	if !r.rate.Allow() {
		r.unlogged.Add(1)
		r.opt.Observe(Suppressed)
		return
	}
	fields := guarded(record, entry)
	if left := r.unlogged.Swap(0); left > 0 {
		fields = append(fields, zap.Int64("records_left_out", left))
	}
	r.opt.Logger.Error("system error", fields...)
	r.opt.Observe(Logged)
}

// guarded redacts the record. Whatever goes wrong there must not end the
// process, nor show the payload.
func guarded(record Record, entry func(Record) []zap.Field) (fields []zap.Field) {
	defer func() {
		if recover() != nil {
			fields = append(identify(record), zap.Bool("redaction_failed", true))
		}
	}()
	return entry(record.Concealed())
}

// seal is the work of the vault's queue.
func (r *Recorder) seal(record Record) {
	err := r.opt.Vault.Seal(record.Concealed())
	if err == nil {
		r.opt.Observe(Sealed)
		return
	}
	r.unsealed.Add(1)
	r.opt.Observe(SealFailed)
	r.failures.Do(func() {
		r.opt.Logger.Error("evidence could not be sealed", zap.String("request_id", cut(record.RequestID)),
			zap.Error(fmt.Errorf("dir: %w", err)), zap.Int64("records_not_sealed", r.unsealed.Swap(0)))
	})
}
