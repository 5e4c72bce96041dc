package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/load"
)

// progress tells people who wait how far a run is: one line that changes on a
// terminal, a plain line every few seconds elsewhere.
type progress struct {
	w    io.Writer
	live bool

	mu     sync.Mutex
	slices map[string]extract.Progress
	loaded int64 // rows
	shown  bool

	began time.Time
	quit  chan struct{}
	gone  sync.WaitGroup
}

func newProgress(w io.Writer, live bool) *progress {
	return &progress{w: w, live: live, slices: map[string]extract.Progress{}, quit: make(chan struct{})}
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

func (p *progress) start() {
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
func (p *progress) stop() {
	close(p.quit)
	p.gone.Wait()
	if p.live && p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *progress) show() {
	line := p.line(time.Since(p.began))
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

// line sums up the slices; "" while nothing was read.
func (p *progress) line(elapsed time.Duration) string {
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
