package api

// Hashes is how many passwords were hashed.
func (s *Service) Hashes() int64 { return s.mill.ground.Load() }

// Weak is a password as it was kept before today.
func Weak(password string) string {
	c, salt := cost{32, 1, 1}, []byte("eight by")
	return hashed{c, salt, c.sum(password, salt, 16)}.String()
}

// Cheapen makes hashes cheap, for tests that make many.
func Cheapen() { today = cost{64, 1, 1} }
