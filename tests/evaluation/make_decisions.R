# Adds to fixtures/decisions.json the net benefit for survival by R's survfit, with its version.
#
# Run `Rscript tests/evaluation/make_decisions.R` from the root of the repository, with survival and jsonlite installed.

suppressMessages({
  library(survival)
  library(jsonlite)
})
file <- "tests/evaluation/fixtures/decisions.json"
found <- fromJSON(file)
benefit <- function(risk, t) {
  flagged <- risk >= t
  fit <- survfit(Surv(found$time[flagged], found$event[flagged]) ~ 1)
  died <- 1 - summary(fit, times = found$horizon, extend = TRUE)$surv
  mean(flagged) * (died - (1 - died) * t / (1 - t))
}
found$survival_r <- sapply(found$thresholds, function(t) benefit(found$risk, t))
found$survival_all_r <- sapply(found$thresholds, function(t) benefit(rep(1, length(found$risk)), t))
found$versions$R <- paste(R.version$major, R.version$minor, sep = ".")
found$versions$survival <- as.character(packageVersion("survival"))
write(toJSON(found, auto_unbox = TRUE, digits = NA, pretty = TRUE), file)
