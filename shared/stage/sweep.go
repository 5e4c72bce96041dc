package stage

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Sweep removes the objects under prefix that were written before olderThan and
// that no manifest of the same slice names, whatever its fence: a continued
// attempt's manifest names parts of the attempts before. Manifests and everything
// under [Corrupt] and [Raw] stay. A slice with a manifest that cannot be read is left
// alone, and its error returned at the end.
//
// olderThan must lie before the oldest slice that is still being read or paused
// was claimed: such a slice has parts and no manifest yet.
func (s *Store) Sweep(ctx context.Context, prefix string, olderThan time.Time) (removed int, err error) {
	var errs []error
	flush := func(slice string, objects []Info) {
		n, err := s.sweepSlice(ctx, slice, objects, olderThan)
		removed += n
		errs = append(errs, err)
	}
	var slice string
	var objects []Info // of slice; keys come in order, so one slice is held at a time
	for o, err := range s.list(ctx, prefix) {
		if err != nil {
			return removed, errors.Join(append(errs, err)...)
		}
		of, ok := sliceOf(o.Key)
		if !ok {
			continue
		}
		if of != slice {
			flush(slice, objects)
			slice, objects = of, objects[:0]
		}
		objects = append(objects, o)
	}
	flush(slice, objects)
	return removed, errors.Join(errs...)
}

func (s *Store) sweepSlice(ctx context.Context, slice string, objects []Info, olderThan time.Time) (removed int, err error) {
	var old []string
	for _, o := range objects {
		if !IsManifest(o.Key) && o.Modified.Before(olderThan) {
			old = append(old, o.Key)
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	named, err := s.named(ctx, slice)
	if err != nil {
		return 0, err
	}
	for _, key := range old {
		if named[key] {
			continue
		}
		if err := s.Delete(ctx, key); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// named returns the keys that the slice's manifests name. It lists the slice
// again: the prefix of the sweep may have cut it, and a manifest written
// meanwhile counts.
func (s *Store) named(ctx context.Context, slice string) (map[string]bool, error) {
	named := map[string]bool{}
	for o, err := range s.List(ctx, slice) {
		if err != nil {
			return nil, err
		}
		if !IsManifest(o.Key) || strings.Count(o.Key, "/") != 4 {
			continue
		}
		m, err := s.ReadManifest(ctx, o.Key)
		if err != nil {
			return nil, err
		}
		for _, p := range append(m.Parts, m.Rejects...) {
			named[p.Key] = true
		}
	}
	return named, nil
}
