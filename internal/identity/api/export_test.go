package api

// Hashes is how many passwords were hashed.
func (s *Service) Hashes() int64 { return s.mill.ground.Load() }
