package web

func (s *Site) settings(q asked) (view, error) {
	c, err := s.desk.Settings(q.Context(), q.who)
	if err != nil {
		return view{}, err
	}
	return view{title: "Settings", here: "/settings", body: settingsBody(c)}, nil
}
