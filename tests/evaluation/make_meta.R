# Numbers of test_meta.py, by the formulas in base R: Rscript tests/evaluation/make_meta.R (R 4.2.2).
# dat.bcg of metafor (Colditz et al. 1994), log risk ratios; metafor itself publishes -0.7141 and 0.3088 for it.
summarise <- function(y, v) {
  k <- length(y); w <- 1 / v; Q <- sum(w * (y - sum(w * y) / sum(w))^2)
  tau2 <- max(0, (Q - (k - 1)) / (sum(w) - sum(w^2) / sum(w)))
  ws <- 1 / (v + tau2); mu <- sum(ws * y) / sum(ws); se <- sqrt(1 / sum(ws))
  hk <- qt(.975, k - 1) * sqrt(sum(ws * (y - mu)^2) / (k - 1) / sum(ws)); new <- qt(.975, k - 2) * sqrt(tau2 + se^2)
  cat(sprintf("%.10f", c(mu, mu - hk, mu + hk, mu - new, mu + new, tau2, max(0, (Q - (k - 1)) / Q))), "\n")
}
tpos <- c(4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27)
tneg <- c(119, 300, 228, 13536, 5036, 1361, 2537, 87886, 7470, 1699, 50448, 2493, 16886)
cpos <- c(11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29)
cneg <- c(128, 274, 209, 12619, 5761, 1079, 619, 87892, 7232, 1600, 27197, 2338, 17825)
summarise(log((tpos / (tpos + tneg)) / (cpos / (cpos + cneg))), 1 / tpos - 1 / (tpos + tneg) + 1 / cpos - 1 / (cpos + cneg))
summarise(c(.9, 1.4, .2, 1.1), c(.05, .02, .1, .03))
