package snowflaketest

import (
	"context"
	"os"
	"strconv"
	"time"
)

// listed reads the reference of LIST and REMOVE.
func (s *session) listed(st statement) (reference, []staged, error) {
	if len(st.toks) < 2 || st.toks[1].kind != stageRef && st.toks[1].kind != text {
		return reference{}, nil, syntax("%s needs a stage.", st.toks[0].text)
	}
	r, err := s.findStage(st.toks[1].text)
	if err != nil {
		return r, nil, err
	}
	files, err := s.srv.stages.files(r)
	return r, files, err
}

func (s *session) doList(_ context.Context, st statement) (*answer, error) {
	r, files, err := s.listed(st)
	if err != nil {
		return nil, err
	}
	c := copying{from: r}
	var rows [][]string
	for _, f := range files {
		rows = append(rows, []string{c.says(f), strconv.FormatInt(f.size, 10), f.tag, f.at.UTC().Format(time.RFC1123)})
	}
	return texts(typeShow, []string{"name", "size", "md5", "last_modified"}, rows...), nil
}

func (s *session) doRemove(_ context.Context, st statement) (*answer, error) {
	r, files, err := s.listed(st)
	if err != nil {
		return nil, err
	}
	c := copying{from: r}
	var rows [][]string
	for _, f := range files {
		if err := os.Remove(f.path); err != nil {
			return nil, err
		}
		rows = append(rows, []string{c.says(f), "removed"})
	}
	return texts(typeShow, []string{"name", "result"}, rows...), nil
}
