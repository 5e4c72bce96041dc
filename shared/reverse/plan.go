package reverse

func (e *Engine) point(name string) {
	if e.Point != nil {
		e.Point(name)
	}
}
