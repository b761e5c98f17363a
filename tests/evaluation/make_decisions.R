# Adds to fixtures/decisions.json the net benefit for survival by R's survfit, and for one of two causes by survfit of
# several states and by cuminc of cmprsk, with their versions.
#
# Run `Rscript tests/evaluation/make_decisions.R` from the root of the repository, with survival, cmprsk and jsonlite
# installed.

suppressMessages({
  library(survival)
  library(cmprsk)
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

# Of two causes: every third event is another one's. Among those above the threshold, as in dca of the R package dcurves.
found$cause <- ifelse(found$event == 0, 0, 1 + (seq_along(found$event) %% 3 == 0))
cause_benefit <- function(share, risk, t) {
  flagged <- risk >= t
  ill <- share(found$time[flagged], found$cause[flagged])
  mean(flagged) * (ill - (1 - ill) * t / (1 - t))
}
by_cuminc <- function(time, cause) timepoints(cuminc(time, cause, cencode = 0), found$horizon)$est["1 1", 1]
by_survfit <- function(time, cause) {
  states <- factor(cause, 0:2, c("censored", "main", "other"))
  summary(survfit(Surv(time, states) ~ 1), times = found$horizon, extend = TRUE)$pstate[2]
}
everybody <- rep(1, length(found$risk))
found$cause_cuminc <- sapply(found$thresholds, function(t) unname(cause_benefit(by_cuminc, found$risk, t)))
found$cause_r <- sapply(found$thresholds, function(t) cause_benefit(by_survfit, found$risk, t))
found$cause_all_r <- sapply(found$thresholds, function(t) cause_benefit(by_survfit, everybody, t))
found$versions$R <- paste(R.version$major, R.version$minor, sep = ".")
found$versions$survival <- as.character(packageVersion("survival"))
found$versions$cmprsk <- as.character(packageVersion("cmprsk"))
write(toJSON(found, auto_unbox = TRUE, digits = NA, pretty = TRUE), file)
