package resttest

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Memory serves h over in-memory connections and returns the transport that
// reaches it, whatever host the request names, and a function that ends both and
// waits for the server. Real HTTP/1.1 travels over them, so lengths, cuts and
// cancellations are the real ones; nothing touches the network, so it works
// inside a testing/synctest bubble (start and close it in the same bubble).
func Memory(h http.Handler) (rt *http.Transport, closeAll func()) {
	l := &listener{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: h}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) })
	rt = &http.Transport{DialContext: l.dial, MaxIdleConnsPerHost: 16}
	return rt, func() {
		rt.CloseIdleConnections()
		srv.Close()
		wg.Wait()
	}
}

type listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept, Close and Addr make it a net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
