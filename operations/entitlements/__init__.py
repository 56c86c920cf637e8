"""Access: what an account's readers may use, written with the account and asked by paywalls."""
