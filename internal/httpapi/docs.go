package httpapi

func (a *API) registerDocs() {}
