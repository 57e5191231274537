# syntax=docker/dockerfile:1

# One image for every service: the program, the certificates of public authorities, and an empty folder for data.
#
#   docker build --build-arg VERSION="$(git describe --tags --always --dirty)" --tag tiffin:dev .
#   docker run --rm --publish 127.0.0.1:8080:8080 --volume tiffin-data:/data tiffin:dev

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=bind,source=go.mod,target=go.mod \
    --mount=type=bind,source=go.sum,target=go.sum \
    go mod download
COPY . .
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
# As `make build` does, for the platform that the image is for.
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/tiffin ./cmd/tiffin && \
    mkdir /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tiffin /tiffin
# A new named volume takes the owner of the folder it is mounted on.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV TIFFIN_DATA=/data
EXPOSE 8080
# TIFFIN_URL says where to ask; the gateway's port unless a service's own is set.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 CMD ["/tiffin", "health"]
ENTRYPOINT ["/tiffin"]
CMD ["up", "--listen", "0.0.0.0:8080"]
