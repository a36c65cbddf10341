"""What does an encoder look at?"""
