# Writes fixtures/competing.json: data of competing risks with ties and the values that R's packages give for them.
#
# Run `Rscript tests/evaluation/make_competing.R` from the root of the repository, with survival, cmprsk, riskRegression,
# pec, prodlim and jsonlite installed.

suppressMessages({
  library(survival)
  library(cmprsk)
  library(prodlim)
  library(riskRegression)
  library(pec)
  library(jsonlite)
})
RNGversion("4.2.0")
set.seed(20241129)

versions <- list(R = paste(R.version$major, R.version$minor, sep = "."))
for (name in c("survival", "cmprsk", "riskRegression", "prodlim", "pec", "jsonlite")) {
  versions[[name]] <- as.character(packageVersion(name))
}

competing_case <- function(n, months, decimals, leaving = 0.03) {
  z <- round(rnorm(n), decimals)
  u <- round(rnorm(n), decimals)
  cancer <- rexp(n, 0.05 * exp(z))
  heart <- rexp(n, 0.03 * exp(0.7 * u - 0.5 * z))
  left <- rexp(n, leaving)
  time <- pmin(cancer, heart, left)
  cause <- ifelse(left <= pmin(cancer, heart), 0, ifelse(cancer <= heart, 1, 2))
  if (months) time <- ceiling(time)
  data <- data.frame(time, cause, z, u)
  times <- as.numeric(quantile(time[cause == 1], c(0.25, 0.5, 0.75)))
  if (months) times <- unique(round(times)) # a horizon at which events and censorings are tied
  h1 <- 0.05 * exp(0.8 * z)
  h2 <- 0.03 * exp(0.5 * u)
  risk <- sapply(times, function(t) h1 / (h1 + h2) * (1 - exp(-(h1 + h2) * t)))

  c_at <- function(values, tau) {
    found <- cindex(list(model = matrix(values, ncol = 1)), Hist(time, cause) ~ 1,
      data = data, cause = 1, eval.times = tau, cens.model = "marginal", splitMethod = "noPlan", verbose = FALSE
    )
    as.numeric(found$AppCindex$model)
  }
  score <- Score(list(model = risk), Hist(time, cause) ~ 1,
    data = data, times = times, cause = 1, cens.model = "km", cens.method = "ipcw",
    metrics = c("auc", "brier"), summary = "ipa", se.fit = FALSE, contrasts = FALSE, null.model = TRUE
  )
  brier <- score$Brier$score
  ours <- brier[brier$model == "model", ]
  null <- brier[brier$model == "Null model", ]

  aj <- timepoints(cuminc(time, cause, cencode = 0), times)
  state <- factor(cause, 0:2, c("censored", "cancer", "heart"))
  several <- summary(survfit(Surv(time, state) ~ 1, data), times = times, extend = TRUE)

  each <- lapply(1:2, function(k) unname(coef(coxph(Surv(time, cause == k) ~ z + u, data, ties = "efron"))))
  csc <- CSC(Hist(time, cause) ~ z + u, data, cause = 1, method = "breslow")
  incidence <- lapply(1:2, function(k) {
    predict(csc, newdata = data, times = times, cause = k, product.limit = TRUE, se = FALSE, band = FALSE)$absRisk
  })
  fine <- crr(time, cause, cbind(z, u), failcode = 1, cencode = 0, gtol = 1e-10, maxiter = 50)
  places <- findInterval(times, fine$uftime)
  gray <- t(sapply(seq_len(n), function(i) predict(fine, c(z[i], u[i]))[places, 2]))

  list(
    time = time, cause = cause, z = z, u = u, times = times, risk = risk,
    c_first = c_at(risk[, 1], times[1]), c_last = c_at(risk[, length(times)], times[length(times)]),
    c_end = c_at(risk[, length(times)], max(time[cause == 1])),
    auc = score$AUC$score$AUC, brier = ours$Brier, brier_null = null$Brier, ipa = ours$IPA,
    cuminc = unname(aj$est), cuminc_var = unname(aj$var),
    pstate = unname(t(several$pstate[, 2:3])), pstate_se = unname(t(several$std.err[, 2:3])),
    coef_efron = each, coef_breslow = unname(lapply(csc$models, function(m) unname(coef(m)))), incidence = incidence,
    crr = unname(fine$coef), crr_loglik = fine$loglik, crr_incidence = gray
  )
}

made <- list(
  made_by = "tests/evaluation/make_competing.R", versions = versions,
  cases = list(
    competing_case(120, TRUE, 1), competing_case(90, TRUE, 0), competing_case(130, TRUE, 1, 0.12),
    competing_case(80, FALSE, 2)
  )
)
writeLines(toJSON(made, digits = NA, auto_unbox = TRUE), "tests/evaluation/fixtures/competing.json")
