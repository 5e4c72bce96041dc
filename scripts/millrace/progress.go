package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/load"
)

// line tells people who wait how far something is: one line that changes on a
// terminal, a plain line every few seconds elsewhere.
type line struct {
	w    io.Writer
	live bool
	text func(elapsed time.Duration) string // "" while there is nothing to say

	shown bool
	began time.Time
	quit  chan struct{}
	gone  sync.WaitGroup
}

// progress is how far a run is.
type progress struct {
	line

	mu     sync.Mutex
	slices map[string]extract.Progress
	loaded int64 // rows
}

func newProgress(w io.Writer, live bool) *progress {
	p := &progress{line: line{w: w, live: live, quit: make(chan struct{})}, slices: map[string]extract.Progress{}}
	p.text = p.sum
	return p
}

// see takes what an engine reports; it is called by several goroutines.
func (p *progress) see(e extract.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slices[e.Table+"\x00"+e.Slice] = e
}

// load takes what the load engine reports.
func (p *progress) load(o load.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !o.Again {
		p.loaded += o.Rows
	}
}

func (p *line) start() {
	every := 5 * time.Second
	if p.live {
		every = 200 * time.Millisecond
	}
	p.began = time.Now()
	p.gone.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show()
			case <-p.quit:
				return
			}
		}
	})
}

// stop ends the line and waits for the goroutine.
func (p *line) stop() {
	close(p.quit)
	p.gone.Wait()
	if p.live && p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *line) show() {
	line := p.text(time.Since(p.began))
	if line == "" {
		return
	}
	p.shown = true
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K"+line)
	} else {
		fmt.Fprintln(p.w, line)
	}
}

// sum sums up the slices; "" while nothing was read.
func (p *progress) sum(elapsed time.Duration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.slices) == 0 {
		return ""
	}
	var rows, pages, requests int64
	quota := int64(-1)
	for _, s := range p.slices {
		rows, pages, requests = rows+s.Rows, pages+s.Pages, requests+s.Requests
		if s.QuotaLeft >= 0 && (quota < 0 || s.QuotaLeft < quota) {
			quota = s.QuotaLeft
		}
	}
	line := fmt.Sprintf("%s  %s rows read  %s rows/s  %s loaded", spell(elapsed.Round(time.Second)), figure(rows),
		figure(int64(float64(rows)/max(elapsed.Seconds(), 0.001))), figure(p.loaded))
	if pages > 0 { // files have none to speak of
		line += "  " + figure(pages) + " pages"
	}
	line += "  " + figure(requests) + " requests"
	if quota >= 0 {
		line += "  quota left " + figure(quota)
	}
	return line
}

// rowProgress is how far a sync is.
type rowProgress struct {
	line
	done, rows atomic.Int64
}

func newRowProgress(w io.Writer, live bool) *rowProgress {
	p := &rowProgress{line: line{w: w, live: live, quit: make(chan struct{})}}
	p.text = func(elapsed time.Duration) string {
		if p.rows.Load() == 0 && p.done.Load() == 0 {
			return ""
		}
		of := ""
		if n := p.rows.Load(); n > 0 {
			of = " of " + figure(n)
		}
		return fmt.Sprintf("%s  %s%s rows", spell(elapsed.Round(time.Second)), figure(p.done.Load()), of)
	}
	return p
}

// see takes what the engine reports.
func (p *rowProgress) see(done, rows int64) {
	p.done.Store(done)
	p.rows.Store(rows)
}
