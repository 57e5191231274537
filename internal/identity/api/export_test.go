package api

// Hashes is how many passwords were hashed.
func (s *Service) Hashes() int64 { return s.mill.ground.Load() }

// Weak is a password as it was kept before today.
func Weak(password string) string {
	c, salt := cost{8 << 10, 1, 1}, []byte("eight by")
	return hashed{c, salt, c.sum(password, salt, 16)}.String()
}
