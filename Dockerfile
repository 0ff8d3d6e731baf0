# One node of a roomcast cluster. The build runs go and npm, nothing else; what runs is one
# program in an empty image, as nobody.

FROM node:lts-alpine AS client
WORKDIR /src
COPY test/integration/js/package.json test/integration/js/package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund --no-update-notifier

FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY pkg pkg
COPY internal internal
COPY cmd cmd
COPY --from=client /src/node_modules/socket.io-client/dist/socket.io.min.js cmd/node/web/assets/
ENV CGO_ENABLED=0
# The caches would stay in the layer.
RUN go build -trimpath -buildvcs=false -ldflags=-s -o /node ./cmd/node && go clean -cache -modcache

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /node /node
USER 65532:65532
# The Socket.IO endpoint, and what only operators may see.
EXPOSE 3000 9090
ENV ROOMCAST_ADMIN_LISTEN=:9090
HEALTHCHECK --interval=2s --timeout=2s --start-period=10s --retries=3 CMD ["/node", "health"]
ENTRYPOINT ["/node"]
CMD ["serve"]
