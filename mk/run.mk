# Trying, cleaning.

.PHONY: run clean
run: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@echo
	@echo "Starting $(BIN) (Ctrl-C ends it). In a second terminal, listen:"
	@echo "    curl -N http://127.0.0.1:8080/notifications/alice"
	@echo "and in a third, send:"
	@echo "    curl -d '{\"user\":\"alice\",\"data\":\"hello\"}' http://127.0.0.1:8080/notify"
	@echo
	@exec $(BIN) serve $(ARGS)

clean:
	rm -rf build
